"""Reads a folder or Parquet of word images with a pool of actors, and writes Parquet of text, confidence and PNG.

    pip install "ray[data]" ./python
    python examples/ray_words.py crops/ words/ --actors 2
    python examples/ray_words.py crops.parquet words/ --column image --adapters pci:0000:3b:00.0 pci:0000:5e:00.0

Every word comes out once, also when an actor dies in the middle: Ray does its batch again. Rows whose image cannot be read say
why in `error`.
"""

import argparse

import ray

from lemma_gpu.batch import Words


class OnAdapter(Words):
    """Words on the adapter of its place in the pool.

    Vulkan does not know CUDA_VISIBLE_DEVICES, by which Ray hands GPUs out, and Ray sets it only for actors with num_gpus; so
    each actor takes the next place from a counter.
    """

    def __init__(self, places, adapters, **arguments):
        place = ray.get(places.next.remote())
        super().__init__(adapter=adapters[place % len(adapters)] if adapters else None, **arguments)


@ray.remote
class Places:
    def __init__(self):
        self.given = -1

    def next(self):
        self.given += 1
        return self.given


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("images", help="a folder of images, or Parquet with a column of them")
    parser.add_argument("out", help="a folder for Parquet")
    parser.add_argument("--column", default="image", help="the column of Parquet that holds images [image]")
    parser.add_argument("--actors", type=int, default=1, help="models side by side [1]")
    parser.add_argument("--batch", type=int, default=64, help="images in a batch [64]")
    parser.add_argument("--weights", help="weights of LEMMA; the small ones inside by default")
    parser.add_argument("--adapters", nargs="+", default=[], help="adapters of the actors, in turn")
    args = parser.parse_args()
    ray.init(ignore_reinit_error=True)
    if args.images.endswith(".parquet"):
        words = ray.data.read_parquet(args.images)
        column = args.column
    else:
        words = ray.data.read_binary_files(args.images, include_paths=True)
        column = "bytes"
    # Actors that take all CPUs leave none to read and write with, and Ray then waits for ever, without a word.
    cpus = ray.cluster_resources().get("CPU", 1)
    words = words.map_batches(
        OnAdapter,
        fn_constructor_args=(Places.remote(), args.adapters),
        fn_constructor_kwargs={"column": column, "weights": args.weights},
        batch_size=args.batch,
        num_cpus=min(1, cpus / 2 / args.actors),
        compute=ray.data.ActorPoolStrategy(size=args.actors),
    )
    words.drop_columns([column]).write_parquet(args.out)


if __name__ == "__main__":
    main()
