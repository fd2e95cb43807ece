"""Image files: decoded, cropped or scaled to one size, in memory or lazily."""
