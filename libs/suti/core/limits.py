"""Limits of one call, as the protos state them: callers and services refuse the same."""

PICTURE_BYTES = 8 * 2**20  # one picture's file
PICTURES_BYTES = 15 * 2**20  # all pictures of a request together
INLINE_BYTES = PICTURES_BYTES  # the same in an answer; where they are more, all lie in the store
OPERATION_INLINE_BYTES = 12 * 2**20  # the same in an operation's result: thousands of items are named beside them
MESSAGE_BYTES = 16 * 2**20  # one message: pictures, and what is said of them
