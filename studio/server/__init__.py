"""The studio as an application and as a command."""
