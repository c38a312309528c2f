"""Parts that jobs share before they start: name, input, outputs, exporters, drivers and secrets."""
