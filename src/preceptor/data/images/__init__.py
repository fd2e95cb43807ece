"""Images: decoding, cropping, reading them as they are needed."""
