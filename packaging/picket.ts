/** The one command: the table of its sub-commands. */
import { runProcess, type Commands } from './program.ts';

export const COMMANDS: Commands = {
  collector: async () => (await import('./command/collector.ts')).collector,
  agent: async () => (await import('./command/agent.ts')).agent,
  enroll: async () => (await import('./command/enroll.ts')).enroll,
  token: async () => (await import('./command/token.ts')).token,
  hosts: async () => (await import('./command/hosts.ts')).hosts,
  status: async () => (await import('./command/status.ts')).status,
  query: async () => (await import('./command/query.ts')).query,
  version: async () => (await import('./command/version.ts')).versionCommand,
};

if (import.meta.main) await runProcess(COMMANDS, process.argv.slice(2));
