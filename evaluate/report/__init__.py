"""What a comparison found, as JSON, HTML, Markdown and sentences."""
