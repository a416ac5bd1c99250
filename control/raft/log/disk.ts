/** The directory that a log lives in, so that a simulator can lose, tear and flip what a real disk would. */
export interface Disk {
  /** Names of the files, in no order. */
  list(): Promise<string[]>;
  read(name: string): Promise<Uint8Array>;
  /** The file as it is when reading starts, also when its name goes meanwhile. */
  pieces(name: string, bytes: number): AsyncIterable<Uint8Array>;
  /** Opens for writing; creates an empty file when there is none. */
  open(name: string): Promise<DiskFile>;
  /** Atomic; replaces what was there. Durable after syncDirectory. */
  rename(from: string, to: string): Promise<void>;
  remove(name: string): Promise<void>;
  syncDirectory(): Promise<void>;
}

export interface DiskFile {
  write(bytes: Uint8Array, position: number): Promise<void>;
  truncate(length: number): Promise<void>;
  /** Resolves when content and length survive a power cut. A failure is final: the file's state is unknown afterwards. */
  sync(): Promise<void>;
  close(): Promise<void>;
}
