"""Training: fine-tuning on labels, pretraining, distillation of what the bundled weights started from."""
