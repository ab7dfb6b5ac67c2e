"""kinax.md: molecular dynamics."""
