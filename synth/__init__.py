"""Where data is born: records, files on disk, generation, checking, curation. Imports none of the other packages."""
