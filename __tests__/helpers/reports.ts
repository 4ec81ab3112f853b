import type { Report, ReportDeployment, Status } from '../../src/report/report.ts'

/** A small valid report deployment; tests override what they are about. */
export function deployment(more: Partial<ReportDeployment> = {}): ReportDeployment {
  const GiB = 2 ** 30
  const total = { low: 17 * GiB, expected: 18 * GiB, high: 19 * GiB }
  return {
    id: 'deploy/chat.yaml#Deployment/chat/vllm',
    location: { file: 'deploy/chat.yaml', line: 15, column: 15 },
    format: 'kubernetes',
    workload: 'serve',
    engine: { name: 'vllm', version: '0.11.0' },
    model: {
      id: 'org/model',
      revision: null,
      family: 'llama',
      parameters: 8e9,
      activeParameters: 8e9,
      count: 'exact',
      checkpointBytes: 16e9,
      source: 'catalogue',
      asOf: '2026-11',
    },
    draftModel: null,
    adapters: [],
    unresolved: [],
    settings: {
      maxModelLen: {
        value: 8192,
        from: 'file',
        file: 'deploy/chat.yaml',
        line: 17,
        column: 15,
        text: '--max-model-len=8192',
      },
    },
    target: {
      gpu: 'NVIDIA L4',
      gpusPerReplica: 1,
      nodes: null,
      memoryBytes: 22 * GiB,
      from: 'file',
      file: 'deploy/chat.yaml',
      line: 9,
      text: 'nvidia-l4',
    },
    estimate: {
      method: 'engine',
      perGpu: {
        rank: 'pipeline stage 0 of 1, tensor rank 0 of 1',
        parts: [
          { name: 'weights', inBudget: true, bytes: total, basis: 'exact', formula: '8 x 2', source: 'config.json' },
        ],
        totalBytes: total,
        budgetBytes: 20 * GiB,
        headroomBytes: { low: GiB, expected: 2 * GiB, high: 3 * GiB },
      },
      kvCache: {
        bytesPerToken: 131_072,
        bytesPerMaxLengthRequest: GiB,
        availableBytes: 3 * GiB,
        capacityTokens: 24_576,
        maxConcurrency: 3,
        fitsOneRequest: true,
        maxModelLenThatFits: 24_576,
      },
      assumptions: ['max_num_seqs 256: engine default'],
    },
    verdict: { status: 'fits', certain: true, reasons: [{ code: 'fits', message: 'needs 18.00 GiB of 20.00 GiB' }] },
    findings: [],
    remedies: [],
    baseline: null,
    exemption: null,
    ...more,
  }
}

export function withStatus(status: Status, more: Partial<ReportDeployment> = {}): ReportDeployment {
  return deployment({
    ...more,
    verdict: {
      status,
      certain: true,
      reasons: [{ code: status, message: more.verdict?.reasons[0]?.message ?? `it is ${status}` }],
    },
  })
}

export function report(deployments: readonly ReportDeployment[], more: Partial<Report> = {}): Report {
  const count = (status: Status) => deployments.filter(d => d.verdict.status === status).length
  return {
    schemaVersion: 1,
    tool: { name: 'hf-vram-calc', version: '1.0.0' },
    verdict: deployments.some(d => d.verdict.status === 'exceeds') ? 'fail' : 'pass',
    enforced: true,
    counts: {
      deployments: deployments.length,
      fits: count('fits'),
      tight: count('tight'),
      exceeds: count('exceeds'),
      unknown: count('unknown'),
      skipped: count('skipped'),
      exempted: 0,
      filesRead: 3,
      filesParsed: 2,
    },
    deployments,
    notUnderstood: [],
    problems: [],
    ...more,
  }
}
