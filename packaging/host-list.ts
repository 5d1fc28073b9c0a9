/** The hosts as the collector lists them, for the commands that show them. */
import { ask, isRecord, textOf, type Client } from './client.ts';
import { ago, percentText, printable, sizeText, table } from './terminal.ts';

export type HostLine = {
  readonly name: string;
  readonly status: string;
  readonly lastSampleMs: number | undefined;
  readonly version: string;
  readonly values: Readonly<Record<string, number | undefined>>;
  readonly connected: boolean;
  readonly backlogBytes: number | undefined;
};

/** The answer as it came, for --json, and the lines for people. Fields that a collector does not give are left empty. */
export async function askHosts(client: Client): Promise<{ answer: unknown; hosts: readonly HostLine[] }> {
  const answer = await ask(client, '/api/v1/hosts');
  const list = isRecord(answer) && Array.isArray(answer['hosts']) ? answer['hosts'].filter(isRecord) : [];
  return { answer, hosts: list.map(hostLine) };
}

export function hostTable(hosts: readonly HostLine[], nowMs: number): string {
  const rows = hosts.map((host) => [
    host.name,
    host.status,
    ago(host.lastSampleMs, nowMs),
    percentText(host.values['cpuPercent']),
    percentText(host.values['memoryPercent']),
    percentText(host.values['diskPercent']),
    host.values['load1']?.toFixed(2) ?? '-',
    sizeText(host.backlogBytes),
  ]);
  return table(['HOST', 'STATUS', 'LAST SAMPLE', 'CPU', 'MEMORY', 'DISK', 'LOAD', 'BACKLOG'], rows);
}

function hostLine(host: Readonly<Record<string, unknown>>): HostLine {
  const link = isRecord(host['link']) ? host['link'] : {};
  const values = isRecord(host['values']) ? host['values'] : {};
  return {
    name: printable(textOf(host['name']) ?? ''),
    status: printable(textOf(host['status']) ?? ''),
    lastSampleMs: number(host['lastSampleMs']),
    version: printable(textOf(host['version']) ?? ''),
    values: Object.fromEntries(Object.entries(values).map(([key, value]) => [key, number(value)])),
    connected: link['connected'] === true,
    backlogBytes: number(link['backlogBytes']),
  };
}

function number(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined;
}
