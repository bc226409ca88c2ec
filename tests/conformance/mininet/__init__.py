"""Requirements that need hosts and real switches; root needed."""
