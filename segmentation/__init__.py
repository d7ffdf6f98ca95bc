"""DeepLab on the dilated block of `wavenet_app`, in two dimensions."""
