"""Tests in network namespaces with Mininet; root needed."""
