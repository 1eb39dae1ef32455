"""One file per data set: what it is made of and how it is written, as tensorflow-datasets builders."""
