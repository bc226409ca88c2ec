"""The examination of a switch over OpenFlow, before a controller uses it: what of the pipeline it can carry."""
