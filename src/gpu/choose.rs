//! Which of several adapters is meant: by index, by name, by its address on the PCI bus, or by the rank that a launcher gave
//! this process.
//!
//! Vulkan knows nothing of `CUDA_VISIBLE_DEVICES`, by which schedulers hand NVIDIA's cards out. It is followed here where its
//! numbers can be told: CUDA counts in PCI order only if `CUDA_DEVICE_ORDER` says so.

use super::summary::{AdapterSummary, KINDS};
use crate::{Error, ErrorKind, Result};

const NVIDIA: u32 = 0x10de;

/// Where launchers say which process of its machine this one is. Those of MPI come first: within a job of SLURM, all that
/// `mpirun` starts inherit the one `SLURM_LOCALID`.
const RANKS: [&str; 6] = [
    "OMPI_COMM_WORLD_LOCAL_RANK",
    "MPI_LOCALRANKID",
    "MV2_COMM_WORLD_LOCAL_RANK",
    "PALS_LOCAL_RANKID",
    "LOCAL_RANK",
    "SLURM_LOCALID",
];

/// What the environment of a process says of its devices.
#[derive(Default)]
pub(super) struct Surroundings {
    rank: Option<usize>,
    /// `CUDA_VISIBLE_DEVICES`.
    visible: Option<String>,
    /// Whether CUDA counts in PCI order.
    in_order: bool,
}

impl Surroundings {
    pub(super) fn of_process() -> Self {
        Self::of(|name| std::env::var(name).ok())
    }

    fn of(get: impl Fn(&str) -> Option<String>) -> Self {
        Surroundings {
            rank: RANKS.iter().find_map(|name| get(name)?.trim().parse().ok()),
            visible: get("CUDA_VISIBLE_DEVICES"),
            in_order: get("CUDA_DEVICE_ORDER").is_some_and(|order| order == "PCI_BUS_ID"),
        }
    }

    /// The adapters of `nvidia`, which are in PCI order, that CUDA would show, in its order; or why that is not known.
    fn shown<'a>(
        &self,
        nvidia: Vec<&'a AdapterSummary>,
    ) -> std::result::Result<Vec<&'a AdapterSummary>, &'static str> {
        let Some(visible) = &self.visible else { return Ok(nvidia) };
        let hides = |item: &str| item.is_empty() || item == "-1" || item == "NoDevFiles";
        // Whatever stands behind the first that is not valid is hidden, too.
        let items: Vec<&str> =
            visible.split(',').map(str::trim).take_while(|item| !hides(item)).collect();
        let numbers: Option<Vec<usize>> = items.iter().map(|item| item.parse().ok()).collect();
        match numbers {
            None => Err("Vulkan knows no such names"),
            Some(numbers) if numbers.is_empty() || self.in_order || nvidia.len() == 1 => {
                Ok(numbers.into_iter().map_while(|i| nvidia.get(i).copied()).collect())
            }
            Some(_) => {
                Err("its numbers are those of Vulkan only with CUDA_DEVICE_ORDER=PCI_BUS_ID")
            }
        }
    }

    /// The adapters to choose from when none is named, best first, and a remark where `CUDA_VISIBLE_DEVICES` counts for
    /// nothing or hides something.
    fn candidates<'a>(
        &self,
        all: &'a [AdapterSummary],
    ) -> (Vec<&'a AdapterSummary>, Option<String>) {
        // Where two backends know one card, the first of them counts.
        let twice =
            |i: usize| !all[i].pci.is_empty() && all[..i].iter().any(|a| a.pci == all[i].pci);
        let (mut nvidia, others): (Vec<_>, Vec<_>) = (0..all.len())
            .filter(|i| !twice(*i))
            .map(|i| &all[i])
            .partition(|a| a.vendor == NVIDIA);
        nvidia.sort_by_key(|a| &a.pci);
        let count = nvidia.len();
        let said = |what: &str| {
            let value = self.visible.as_deref().unwrap_or_default();
            Some(format!("CUDA_VISIBLE_DEVICES={value} {what}"))
        };
        let (shown, remark) = match self.shown(nvidia.clone()) {
            Ok(shown) if shown.is_empty() && count > 0 => {
                (shown, said("hides all NVIDIA adapters"))
            }
            Ok(shown) => (shown, None),
            Err(_) if count == 0 => (nvidia, None),
            Err(why) => (nvidia, said(&format!("is ignored: {why}"))),
        };
        let chosen = self.visible.is_some() && remark.is_none();
        let mut candidates: Vec<&AdapterSummary> = shown.into_iter().chain(others).collect();
        if !chosen {
            candidates.sort_by_key(|a| a.index);
        }
        candidates.sort_by_key(|a| KINDS.iter().position(|kind| *kind == a.kind));
        (candidates, remark)
    }

    /// The adapter that `want` names, else the best of those that are to be used; and a remark on the choice.
    ///
    /// # Errors
    /// [`ErrorKind::NoAdapter`] where there is none such, [`ErrorKind::Argument`] for a rank that nobody gave.
    pub(super) fn choose(
        &self,
        all: &[AdapterSummary],
        want: Option<&str>,
    ) -> Result<(usize, Option<String>)> {
        let wanted = want.unwrap_or_default().to_lowercase();
        let named = |found: Option<&AdapterSummary>| found.map(|a| (a.index, None));
        let found = if want.is_none() || wanted == "rank" {
            let (candidates, remark) = self.candidates(all);
            let rank = match (want, self.rank) {
                (None, _) => 0,
                (Some(_), Some(rank)) => rank,
                (Some(_), None) => return Err(no_rank()),
            };
            let best = candidates.first().map_or("", |a| a.kind.as_str());
            let mut alike: Vec<_> = candidates.iter().filter(|a| a.kind == best).collect();
            if want.is_some() && (self.visible.is_none() || remark.is_some()) {
                alike.sort_by_key(|a| (&a.pci, a.index));
            }
            let chosen = alike.get(rank % alike.len().max(1));
            chosen.map(|a| (a.index, remark.clone())).ok_or(remark)
        } else if let Some(address) = wanted.strip_prefix("pci:") {
            let whole = whole_address(address);
            named(all.iter().find(|a| !a.pci.is_empty() && a.pci == whole)).ok_or(None)
        } else if let Ok(index) = wanted.parse::<usize>() {
            named(all.get(index)).ok_or(None)
        } else {
            named(all.iter().find(|a| a.name.to_lowercase().contains(&wanted))).ok_or(None)
        };
        found.map_err(|remark: Option<String>| {
            let names: Vec<String> = all.iter().map(listed).collect();
            let error = Error::new(ErrorKind::NoAdapter, "gpu", "no such adapter")
                .expected(want.unwrap_or("any Vulkan, Metal or DX12 adapter"))
                .got(if names.is_empty() { "no adapter at all".into() } else { names.join(", ") });
            remark.into_iter().fold(error, Error::detail)
        })
    }
}

/// An address with a domain of four digits: `lspci` leaves it out, and `nvidia-smi` writes eight.
fn whole_address(address: &str) -> String {
    match address.split(':').collect::<Vec<_>>()[..] {
        [domain, bus, device] => format!("{:0>4}:{bus}:{device}", domain.trim_start_matches('0')),
        [bus, device] => format!("0000:{bus}:{device}"),
        _ => address.into(),
    }
}

/// An adapter as errors list it.
fn listed(a: &AdapterSummary) -> String {
    let pci = if a.pci.is_empty() { String::new() } else { format!(" (pci:{})", a.pci) };
    format!("{}: {}{pci}", a.index, a.name)
}

fn no_rank() -> Error {
    Error::new(ErrorKind::Argument, "gpu", "adapter by the rank of this process")
        .expected(format!("a launcher that sets one of {}", RANKS.join(", ")))
        .got("none of them")
        .hint("mpirun, srun and torchrun set one; a single process names its adapter")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adapter(index: usize, name: &str, vendor: u32, kind: &str, pci: &str) -> AdapterSummary {
        AdapterSummary {
            index,
            name: name.into(),
            kind: kind.into(),
            vendor,
            pci: pci.into(),
            ..AdapterSummary::default()
        }
    }

    /// Four cards whose order is not that of the bus, a processor's own, and software.
    fn machine() -> Vec<AdapterSummary> {
        vec![
            adapter(0, "card c", NVIDIA, "DiscreteGpu", "0000:c1:00.0"),
            adapter(1, "card a", NVIDIA, "DiscreteGpu", "0000:3b:00.0"),
            adapter(2, "card b", NVIDIA, "DiscreteGpu", "0000:5e:00.0"),
            adapter(3, "card a", NVIDIA, "DiscreteGpu", "0000:3b:00.0"),
            adapter(4, "graphics", 0x8086, "IntegratedGpu", "0000:00:02.0"),
            adapter(5, "llvmpipe", 0x10005, "Cpu", ""),
        ]
    }

    fn surroundings(set: &[(&str, &str)]) -> Surroundings {
        let of = |name: &str| set.iter().find(|(n, _)| *n == name).map(|(_, v)| v.to_string());
        Surroundings::of(of)
    }

    fn choice(set: &[(&str, &str)], want: Option<&str>) -> usize {
        surroundings(set).choose(&machine(), want).expect("an adapter").0
    }

    #[test]
    fn an_adapter_is_named_by_index_name_or_address() {
        assert_eq!(choice(&[], None), 0);
        assert_eq!(choice(&[], Some("2")), 2);
        assert_eq!(choice(&[], Some("LLVM")), 5);
        assert_eq!(choice(&[], Some("pci:0000:3B:00.0")), 1);
        assert_eq!(choice(&[], Some("pci:c1:00.0")), 0);
        assert_eq!(choice(&[], Some("pci:00000000:5E:00.0")), 2, "as nvidia-smi writes it");
        for unknown in ["6", "radeon", "pci:0000:01:00.0", "pci:"] {
            let error = surroundings(&[]).choose(&machine(), Some(unknown)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NoAdapter, "{unknown}");
            assert!(error.to_string().contains("1: card a (pci:0000:3b:00.0)"), "{error}");
        }
        let none = surroundings(&[]).choose(&[], None).unwrap_err();
        assert!(none.to_string().contains("no adapter at all"), "{none}");
    }

    #[test]
    fn ranks_go_around_the_cards_in_the_order_of_the_bus() {
        let with =
            |rank: &'static str| [("OMPI_COMM_WORLD_LOCAL_RANK", rank), ("SLURM_LOCALID", "0")];
        let chosen = ["0", "1", "2", "3"].map(|rank| choice(&with(rank), Some("rank")));
        // A card that two backends know is one.
        assert_eq!(chosen, [1, 2, 0, 1]);
        assert_eq!(choice(&[("SLURM_LOCALID", "2")], Some("rank")), 0);
        let error = surroundings(&[]).choose(&machine(), Some("rank")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Argument);
    }

    #[test]
    fn what_cuda_shows_is_followed_where_its_numbers_are_known() {
        let ordered = |visible: &'static str| {
            [
                ("CUDA_VISIBLE_DEVICES", visible),
                ("CUDA_DEVICE_ORDER", "PCI_BUS_ID"),
                ("LOCAL_RANK", "1"),
            ]
        };
        assert_eq!(choice(&ordered("1"), None), 2);
        assert_eq!(choice(&ordered("2,1"), None), 0);
        assert_eq!(choice(&ordered("2,1"), Some("rank")), 2);
        assert_eq!(choice(&ordered("2,7,1"), Some("rank")), 0, "nothing behind what is not there");
        assert_eq!(choice(&ordered("2"), Some("card b")), 2, "who names an adapter gets it");
        for hidden in ["", "-1", "NoDevFiles"] {
            let set = [("CUDA_VISIBLE_DEVICES", hidden)];
            let (index, remark) = surroundings(&set).choose(&machine(), None).expect("an adapter");
            assert_eq!((index, remark.is_some()), (4, true));
        }
    }

    #[test]
    fn what_cuda_shows_is_ignored_aloud_where_it_is_not_known() {
        for visible in ["1", "GPU-5c7e0c7a", "1,GPU-5c7e0c7a"] {
            let set = [("CUDA_VISIBLE_DEVICES", visible)];
            let (index, remark) = surroundings(&set).choose(&machine(), None).expect("an adapter");
            assert_eq!(index, 0);
            assert!(remark.expect("a remark").contains("is ignored"));
            let other = [adapter(0, "radeon", 0x1002, "DiscreteGpu", "0000:03:00.0")];
            assert_eq!(
                surroundings(&set).choose(&other, None),
                Ok((0, None)),
                "no card of NVIDIA's"
            );
        }
        let one = [adapter(0, "card", NVIDIA, "DiscreteGpu", "0000:03:00.0")];
        let set = [("CUDA_VISIBLE_DEVICES", "0")];
        assert_eq!(surroundings(&set).choose(&one, None), Ok((0, None)), "one card has one order");
        let set = [("CUDA_VISIBLE_DEVICES", "")];
        let error = surroundings(&set).choose(&one, None).unwrap_err();
        assert!(error.to_string().contains("hides all NVIDIA adapters"), "{error}");
    }
}
