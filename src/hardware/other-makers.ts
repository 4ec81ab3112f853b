import type { GpuKind } from './gpu.ts'
import { card, type GpuRow, SOURCES, unjudged } from './row.ts'

const amd = (
  kind: GpuKind,
  name: string,
  keys: string,
  nominalGB: number,
  driverMiB: number,
  visibleGiB: number | null,
  source?: string,
): GpuRow => card('AMD', kind, name, keys, nominalGB, driverMiB, visibleGiB, null, source)
const gigabytes = 1024

/** MI250 and MI250X are two devices of 64 GB each for the engine; the row is one of them. */
export const amdGpus: readonly GpuRow[] = [
  amd('data-centre', 'MI100', '', 32, 32 * gigabytes - 16, null, SOURCES.nominal),
  amd('data-centre', 'MI210', '', 64, 64 * gigabytes - 16, null, SOURCES.nominal),
  amd('data-centre', 'MI250', '', 64, 64 * gigabytes - 16, null, `${SOURCES.nominal}; one of the card's two devices`),
  amd('data-centre', 'MI250X', '', 64, 64 * gigabytes - 16, null, `${SOURCES.nominal}; one of the card's two devices`),
  amd('data-centre', 'MI300A', '', 128, 128 * gigabytes, null, SOURCES.nominal),
  amd('data-centre', 'MI300X', 'mi300x mi300 74a1', 192, 196592, 191.98, 'AMD sizing profiles'),
  amd('data-centre', 'MI308X', 'mi308x mi308', 192, 196592, 191.98, 'as MI300X'),
  amd('data-centre', 'MI325X', 'mi325x mi325', 256, 262128, null, SOURCES.nominal),
  amd('data-centre', 'MI350X', 'mi350x mi350', 288, 294896, null, SOURCES.nominal),
  amd('data-centre', 'MI355X', 'mi355x mi355', 288, 294896, null, SOURCES.nominal),
  amd('consumer', 'RX 7900 GRE', '', 16, 16368, null),
  amd('consumer', 'RX 7900 XT', '', 20, 20464, null),
  amd('consumer', 'RX 7900 XTX', '', 24, 24560, null),
  amd('consumer', 'RX 9060 XT 8GB', '', 8, 8176, null),
  amd('consumer', 'RX 9060 XT 16GB', '', 16, 16304, null),
  amd('consumer', 'RX 9070', '', 16, 16304, 15.92),
  amd('consumer', 'RX 9070 XT', '', 16, 16304, 15.92),
  amd('workstation', 'PRO W7800', 'prow7800 w7800', 32, 32752, null, SOURCES.nominal),
  amd('workstation', 'PRO W7900', 'prow7900 w7900', 48, 49136, null, SOURCES.nominal),
  amd('workstation', 'AI PRO R9700', 'aipror9700 pror9700 r9700', 32, 32624, null, SOURCES.nominal),
]

const shared = 'memory is shared with the CPU'
const noRules = 'no rules for this accelerator'

/** Known by name; judged only with an explicit memory size, as in "DGX Spark 110GiB". */
const unifiedGpus: readonly GpuRow[] = [
  unjudged('NVIDIA', 'unified', 'DGX Spark', 'gb10 dgxspark', 128, '12.1', shared),
  unjudged('NVIDIA', 'unified', 'AGX Thor', 'thor agxthor jetsonagxthor jetsonthor', 128, '11.0', shared),
  unjudged('NVIDIA', 'unified', 'AGX Orin', 'orin agxorin jetsonagxorin jetsonorin orinnx orinnano', 64, '8.7', shared),
  unjudged(
    'Apple',
    'unified',
    'Silicon',
    'm1 m2 m3 m4 m5 m1max m2max m3max m4max m1ultra m2ultra m3ultra m4pro silicon',
    64,
    null,
    shared,
  ),
  unjudged('AMD', 'unified', 'Strix Halo', 'strixhalo 8060s ryzenaimax395 aimax395', 128, null, shared),
]

/** Known by name, not judged. */
const otherAccelerators: readonly GpuRow[] = [
  unjudged('AMD', 'unsupported', 'PRO V620', 'prov620 v620', 32, null, noRules),
  unjudged('Intel', 'unsupported', 'Gaudi2', 'gaudi2 hl225', 96, null, noRules),
  unjudged('Intel', 'unsupported', 'Gaudi3', 'gaudi3 gaudi hl325', 128, null, noRules),
  unjudged('Intel', 'unsupported', 'Max 1550', 'max1550 datacentermax1550 max1100 pvc', 128, null, noRules),
  unjudged(
    'Intel',
    'unsupported',
    'Arc',
    'arc arca770 a770 arcb580 b580 arcprob60 prob60 arcb60 b60',
    16,
    null,
    noRules,
  ),
  unjudged(
    'Google',
    'unsupported',
    'TPU',
    'tpu tpuv4 tpuv5e tpuv5p tpuv6e tpu7x v5e v5p v6e tpuv5litepodslice tpuv5litedevice tpuv5pslice tpuv6eslice trillium ironwood',
    32,
    null,
    noRules,
  ),
  unjudged(
    'AWS',
    'unsupported',
    'Neuron',
    'trainium trainium2 trainium3 inferentia inferentia2 neuron trn1 trn2 inf2',
    32,
    null,
    noRules,
  ),
  unjudged(
    'Huawei',
    'unsupported',
    'Ascend',
    'ascend ascend910 ascend910b ascend910c 910b 910c ascend310p',
    64,
    null,
    noRules,
  ),
]

export const unjudgedGpus: readonly GpuRow[] = [...unifiedGpus, ...otherAccelerators]
