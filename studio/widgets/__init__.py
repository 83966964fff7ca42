"""What the pages share: addresses, forms, media, progress."""
