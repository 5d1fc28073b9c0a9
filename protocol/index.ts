/** The door of the protocol: everything agent and collector may use of it. Imports nothing of ours from outside this folder. */
export * from './axis.ts';
export * from './bytes.ts';
export * from './columns.ts';
export * from './control.ts';
export * from './dictionary.ts';
export * from './errors.ts';
export * from './events.ts';
export * from './frame.ts';
export * from './handshake.ts';
export * from './limits.ts';
export * from './msgpack.ts';
export * from './samples.ts';
export * from './sign.ts';
export * from './token.ts';
