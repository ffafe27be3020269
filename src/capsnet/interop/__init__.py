"""Interfaces to other packages, one file each: file formats, and other packages' programming interfaces."""
