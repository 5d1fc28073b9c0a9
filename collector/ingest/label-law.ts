/** Law 7: a frame speaks only for its own node, also in its labels. Pure. */
import type { DictionaryEntry } from '../../protocol/index.ts';
import type { Agent } from './agents.ts';

/** Who holds a host name. */
export interface NameOwner {
  readonly fleetId: Uint8Array;
  /** True if a host of this name is enrolled. */
  isHost(name: string): boolean;
}

/** Names that only Picket itself writes; an agent's own carry a longer prefix. */
const OWN_PREFIX = 'picket_';
const AGENT_PREFIX = 'picket_agent_';

/** Why an agent may not announce this series, or undefined. */
export function labelProblem(entry: DictionaryEntry, agent: Pick<Agent, 'name'>, names: NameOwner): string | undefined {
  const { labels } = entry;
  let job = '';
  let instance = '';
  for (let i = 0; i < labels.length; i += 2) {
    const name = labels[i];
    if (name === 'agent') return `series ${entry.name}: the label agent is set by the collector`;
    if (name === 'job') job = labels[i + 1] as string;
    if (name === 'instance') instance = labels[i + 1] as string;
  }
  if (entry.scope === 'node') {
    if (job !== '' || instance !== '')
      return `series ${entry.name}: the labels job and instance of a host's own series are set by the collector`;
    if (entry.name === 'up') return 'the series up of a host is written by the collector';
    if (entry.name.startsWith(OWN_PREFIX) && !entry.name.startsWith(AGENT_PREFIX))
      return `series ${entry.name}: names that begin with ${OWN_PREFIX} are Picket's own`;
    return undefined;
  }
  if (entry.name.startsWith(OWN_PREFIX)) return `series ${entry.name}: names that begin with ${OWN_PREFIX} are Picket's own`;
  if (job === 'node' && names.isHost(instance))
    return `series ${entry.name}: job="node", instance="${instance}" is an enrolled host and not ${agent.name}'s to speak for`;
  return undefined;
}
