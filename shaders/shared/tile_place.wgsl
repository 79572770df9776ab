// Where a tile of 2×2 pixels lies: its image, and its first row and column there. The importing kernel's parameters have the
// tiles down and across an image.
struct Place { image: u32, top: u32, left: u32 }

fn place(tile: u32) -> Place {
    let line = tile / p.across;
    let image = line / p.down;
    return Place(image, (line - image * p.down) * 2u, (tile - line * p.across) * 2u);
}
