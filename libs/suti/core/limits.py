"""Limits of one call, as the protos state them: callers and services refuse the same."""

PICTURE_BYTES = 8 * 2**20  # one picture's file
PICTURES_BYTES = 15 * 2**20  # all pictures of a request together
MESSAGE_BYTES = 16 * 2**20  # one message: pictures, and what is said of them
