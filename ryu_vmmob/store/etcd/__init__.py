"""The store on etcd: one log that one controller writes, and that others can follow."""
