/** The agent's version as the collector sees it. A constant, because a bundle has no package.json beside it; a test holds the two together. */

export const AGENT_VERSION = '0.1.0';
