export declare const README: string;
export declare function makeTable(
  results: { client: string; tier: string; check: string; passed: boolean; differs?: string }[],
  versionOf: (client: string) => string,
): string[];
export declare function readTable(readme: string): { title: string; tier: string; differs: string[] }[];
