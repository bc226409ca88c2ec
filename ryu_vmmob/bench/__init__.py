"""Benchmarks: ``python -m ryu_vmmob.bench [NAME ...]``, one JSON object a line on stdout, a table on stderr.

What is compared is measured beside each other in the same run: numbers of another machine or day prove nothing.
"""
