"""What the studio itself keeps in a workspace: notes, endpoints, uploads, deleted runs."""
