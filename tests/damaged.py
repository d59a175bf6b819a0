"""Files that are damaged for a test."""


def change_a_bit(path):
    """Changes one bit in the middle of a file, which only a checksum notices."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def spoil(data_dir, name="mnist", split="test"):
    """Changes one bit of a TFDS split's file; returns its path."""
    (path,) = data_dir.glob(f"{name}/*/*-{split}.tfrecord*")
    change_a_bit(path)
    return path
