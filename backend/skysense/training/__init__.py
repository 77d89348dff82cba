"""Training: fine-tuning on labels, distillation of the bundled weights."""
