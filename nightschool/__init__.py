"""What the chat (`demo`) and the night (`training`) share: records, settings, the store, the registry, the model."""
