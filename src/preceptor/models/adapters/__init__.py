"""Networks from elsewhere (timm, torchvision, transformers, module:factory) behind one interface, and student wrappers."""
