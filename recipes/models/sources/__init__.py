"""Where weights can come from besides the hub and a folder: each module turns one layout into a safetensors folder."""
