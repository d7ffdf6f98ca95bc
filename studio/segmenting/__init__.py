"""Pictures that visitors send, labelled by DeepLabs."""
