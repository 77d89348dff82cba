"""The backend process: frames in, jobs one after the other, frames out."""
