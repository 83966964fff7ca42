"""Is an answer right, and how right? One record per scorer; everything that judges an answer reads it."""
