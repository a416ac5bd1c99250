/**
 * Every bound of the product, with its unit in the name. A queue, cache, loop, body or retry without a line here is a defect.
 */
export const limits = {
  // --- commit log (replication.md §3)
  logObjectBytesMax: 8 * 1024 * 1024,
  logInlineEntryBytesMax: 4 * 1024 * 1024,
  logGatherMsMax: 8, // before an object is made, as long as more comes
  logGatherQuietTurns: 4, // of the event loop, without anything more
  logFootersEvery: 64,
  logDirectoryEvery: 1024,
  logIndexEntryBytesMax: 1536 * 1024, // a larger FOOTERS or DIRECTORY is left out, and a recovery reads more objects
  logPutAttemptMs: 10_000,
  logRetryDelayMsMin: 20,
  logRetryDelayMsMax: 1_000,
  logHedgeMsMin: 50,
  logHedgeMsDefault: 500,
  logHedgeMsMax: 2_000,
  logLatencySamples: 64,
  // --- output gate and outage (§4, §8)
  gateWaitMsMax: 5_000,
  outageRefuseAfterMs: 2_000,
  asyncLagMsMax: 5_000,
  asyncLagBytesMax: 4 * 1024 * 1024, // of pages that differ
  asyncFlushMs: 500, // in which commits that nobody waits for share a cut
  asyncFlushEveryMs: 20, // such cuts of different tenants that come soon after one another are made together
  asyncLagLookMs: 2, // between two looks at what a WAL has become
  asyncLagFrames: 256, // looked at in one turn
  leaseProofMs: 300,
  // --- sealing (§5)
  sealSlots: 4,
  sealRoundsMax: 64,
  sealAttemptsMax: 64, // per request, at most logRetryDelayMsMax apart
  // --- materialise (§7)
  materialiseBytes: 3 * 1024 * 1024, // below bulkBytesMin: the longer the run, the more versions of a page become one
  materialiseEntries: 256,
  materialiseAfterMs: 15 * 60_000,
  materialiseRunBytesMax: 64 * 1024 * 1024, // of the flushes in one file
  bundleKeepMs: 72 * 60 * 60_000,
  compactAfterMs: 60 * 60_000, // level 1 to 2
  compactDailyMs: 24 * 60 * 60_000, // level 2 to 3
  compactBytesMax: 64 * 1024 * 1024, // of the files that are merged into one
  snapshotAgeMsMax: 7 * 24 * 60 * 60_000, // with changes since
  levelOneKeepMs: 3 * 24 * 60 * 60_000,
  historyKeepMs: 30 * 24 * 60 * 60_000, // levels 2 and 3, older snapshots
  largeKeepMs: 24 * 60 * 60_000, // large objects that no entry needs
  deletionBatchMs: 24 * 60 * 60_000, // what may go waits so long for more to go with it
  deletionBatchBytes: 64 * 1024 * 1024, // worth a visit of their own
  condemnedMsMin: 60 * 60_000,
  condemnedMsMax: 2 * 60 * 60_000, // later it must be condemned anew
  condemnedKeysMax: 10_000, // in one record
  logTruncateAfterMs: 60 * 60_000,
  logTruncateEveryMs: 5 * 60_000,
  maintainParallel: 2,
  timerMsMax: 7 * 24 * 60 * 60_000, // setTimeout counts milliseconds in 31 bits
  maintenanceRetryMs: 10 * 60_000,
  maintenanceLoadAfterMs: 7 * 24 * 60 * 60_000, // of a tenant that was evicted with maintenance to come
  snapshotChainFilesMax: 64,
  snapshotChainRatio: 0.5,
  snapshotChainBytesMin: 4 * 1024 * 1024, // less is read in no time, and a small busy database would make one for every other file
  materialiseParallel: 4,
  materialisePendingBytesMax: 256 * 1024 * 1024,
  sealedLogIndexesMax: 16,
  logFooterReadBytes: 16 * 1024,
  restoreParallelGets: 8,
  restoreRangeBytes: 8 * 1024 * 1024,
  restoreDatabasesParallel: 4, // of one tenant
  restoreReadAttemptsMax: 3, // of one range, while the store fails
  restoreRetryMsMin: 100,
  // --- large files, in threads
  bulkBytesMin: 4 * 1024 * 1024, // of LTX; less is done faster than it is handed over
  cutInTurnBytesMax: 8 * 1024 * 1024, // of pages in one flush of a database; more are encoded in a thread
  pagesPieceBytes: 512 * 1024, // read from a WAL in one turn, for a thread
  bulkThreadsMax: 4,
  bulkBackgroundThreadsMax: 2, // the others are for who waits for a load
  bulkThreadIdleMs: 30_000,
  bulkStallMs: 60_000, // without a sign of life
  bulkWindowBytesMax: 1024 * 1024, // of each file that is merged, and as much ahead
  bulkWindowBytesMin: 64 * 1024,
  bulkWindowsBytesMax: 64 * 1024 * 1024, // of all files that are merged into one
  bulkInMemoryBytesMax: 8 * 1024 * 1024, // a smaller result is sent from memory
  snapshotImageBytesMax: 8 * 1024 * 1024, // snapshots of larger databases are merged from their objects
  snapshotRescueBytesMax: 1024 * 1024 * 1024, // but of an image when those cannot be read
  mergeFilesMax: 1_000,
  // --- points in time, branches, uploads that no record names (§7)
  pointSinglesMax: 200, // shown; the newest ones
  pointHeadersParallel: 8,
  pinKeysMax: 20_000,
  pinsMax: 1_000, // branches of one tenant
  detachCopiesParallel: 8,
  uploadKeepMs: 31 * 24 * 60 * 60_000, // a day longer than any point that may name it: clocks differ
  uploadOrphanMs: 24 * 60 * 60_000, // younger ones may be about to be named
  uploadSweepMs: 24 * 60 * 60_000, // at most once in this time, and only after changes
  droppedKeysMax: 10_000, // in one record
  // --- encryption (§9)
  sealedSegmentBytes: 1024 * 1024, // a part of the format, not to be tuned
  dataKeyVersionsMax: 64,
  keyObjectBytesMax: 64 * 1024,
  keyringBytesMax: 64 * 1024,
  keyServiceMs: 5_000,
  keyServiceAttemptsMax: 3,
  keyServiceSocketsMax: 32,
  keyRotationsParallel: 8,
  // --- object store drivers
  storeRequestMs: 30_000,
  storeBodyIdleMs: 5_000, // of a ranged read, which then goes on from where it was
  storeListPage: 1_000,
  storeDeleteBatch: 1_000,
  storeKeyBytesMax: 1_024,
  storeCopySingleBytesMax: 5 * 1024 * 1024 * 1024,
  storePutSingleBytesMax: 5 * 1024 * 1024 * 1024,
  storePartBytes: 16 * 1024 * 1024,
  storePartsMax: 10_000,
  storePartsParallel: 2,
  storeCopyPartBytes: 512 * 1024 * 1024,
  storeCopyPartsParallel: 4,
  storeAttemptsMax: 3, // of reads and overwrites; a conditional PUT is tried once, its caller decides
  storeSocketsMax: 256,
  storeReadChunkBytes: 256 * 1024,
  storeReadIdleMs: 5 * 60_000, // a stream that nobody reads gives its file handle back
  storeParallelFileCalls: 64,
  storeTempAgeMs: 24 * 60 * 60_000, // older temporary files have no living writer
  storeRaceRetriesMax: 16,
  storeDirectoriesKnownMax: 20_000,
  storeDirectoriesOpenMax: 64,
  storeProbeRacers: 8,
  tenantDomainsMax: 20, // verified and claimed together
  domainCharactersMax: 253,
  domainClaimMs: 72 * 60 * 60_000, // then another tenant may claim the name
  domainLookupMs: 5_000, // of one DNS question, all servers together
  domainLookupTries: 2,
  domainTxtRecordsMax: 100, // looked at in one answer
  keyReloadMs: 2_000, // between two looks at a key file
  // --- SQLite
  checkpointPages: 1_000,
  walReadBytesMax: 4 * 1024 * 1024,
  walFilesOpenMax: 1_024, // by capture's own descriptors
  sqliteBusyMs: 10_000,
  statementCacheMax: 256, // of one connection
  statementsOpenMax: 8_192, // of all connections: some 75 MB
  pageCacheKibibytes: 1_000, // of one connection; the operating system has the rest
  // --- tenants in a worker
  tenantsOpenMax: 10_000,
  readersOpenMax: 100, // beside transactions that stay open across turns
  writersWarmMax: 1_000, // with a page cache and prepared statements; with the readers' this bounds all of the process
  secondariesOpenMax: 16, // databases beside data.db: 105 KB each, and opened again in 0.2 ms
  descriptorsReserved: 2_048, // for connections, requests to the store, files in transit, walFilesOpenMax
  cleanCopyKeepMs: 24 * 60 * 60_000, // local files of tenants that did not come back
  tenantQueueMax: 1_000,
  tenantReleasesParallel: 64,
  controlReportsPerCall: 1_000,
  controlReportRetryMs: 1_000,
  replaceDatabaseBytesMax: 16 * 1024 * 1024 * 1024,
  tenantLoadMsMax: 30_000,
  tenantLoadsParallel: 32,
  writeLockWaitMsMax: 30_000,
  writeGroupMs: 4, // of writes that share a transaction; the others are next
  patternCacheMax: 5_000,
  generatedCharactersMax: 10_000,
  cascadeBatch: 4_000,
  truncateBatch: 500,
  viewSampleRows: 10,
  releasePatienceMs: 3_000, // a tenant that is to leave waits this long for the requests that are inside, others still come in
  ownerConfirmedMs: 250, // after saying that a tenant is its own a worker keeps it this long for the request that follows
  releaseDrainMs: 1_000, // then requests that are inside when a tenant leaves have this long to end
  releasesRemembered: 10_000,
  prewarmedTenantsMax: 64, // fetched for a move that has not come yet
  prewarmedBytesMax: 8 * 1024 * 1024 * 1024,
  prewarmedKeepMs: 2 * 60_000,
  prewarmsParallel: 4,
  catchUpBytesMax: 64 * 1024 * 1024, // a copy that lacks more than this is fetched anew
  acquireRoundsMax: 16,
  // --- PocketBase API (pocketbase.md)
  requestBodyBytesMax: 32 * 1024 * 1024,
  collectionsImportMax: 500, // in one turn: about a second
  filterCharactersMax: 3_500,
  filterExpressionsMax: 200,
  filterDepthMax: 500,
  filterFunctionDepthMax: 3,
  filterFunctionArgumentsMax: 10,
  filterParsesMax: 1_000,
  queryPlansMax: 128, // per schema
  queryPlanVariantsMax: 8, // per plan: by what the request has and has not
  sortTermsMax: 8,
  sortTermCharactersMax: 255,
  relationDepthMax: 6,
  expandDepthMax: 6,
  batchUrlBytesMax: 2_000,
  /** Patterns of generated texts that are kept ready. */
  simplePatternsMax: 1_000,
  expandBackRelationsMax: 1_000,
  pageSizeMax: 1_000,
  pageSizeDefault: 30,
  realtimeTopicsMax: 1_000,
  realtimeTopicCharactersMax: 2_500,
  realtimeIdleMsMax: 5 * 60_000,
  realtimeConnectionMsMax: 30 * 60_000,
  realtimeClientsMax: 20_000,
  realtimeQueueMax: 1_000,
  /** How far back a client that comes again can be told what it missed. */
  realtimeJournalMsMax: 5 * 60_000,
  realtimeJournalRowsMax: 10_000,
  realtimeJournalPruneEvery: 256,
  /** Of a deleted row; a larger one cannot be told later. */
  realtimeJournalRowCharactersMax: 64 * 1024,
  /** How long after a client's start changes are noted at least; more than twice the longest connection. */
  realtimeJournalActiveMs: 90 * 60_000,
  /** Of an urlencoded body; Go reads no longer one. */
  formTextCharactersMax: 10 * 1024 * 1024,
  /** Most messages of one resume. */
  realtimeReplayMax: 500,
  sniffBytesMax: 4_100,
  bodyReadMsMax: 5 * 60_000,
  batchTimeoutMsDefault: 3_000,
  batchBodyBytesMax: 128 * 1024 * 1024,
  formFileMemoryBytesMax: 1024 * 1024, // of one file of a form; larger ones wait on disk
  formMemoryBytesMax: 8 * 1024 * 1024, // of all files of a form
  formPartsMax: 10_000,
  uploadMs: 5 * 60_000,
  uploadsParallel: 4,
  thumbSourceBytesMax: 64 * 1024 * 1024,
  thumbPixelsMax: 100_000_000,
  thumbsParallel: 4,
  thumbsWaitingMax: 100,
  thumbWaitMsMax: 60_000,
  fileHeadersCacheMax: 10_000,
  listThrottleTries: 3,
  listThrottleWindowMs: 3_000,
  listThrottleMsMax: 500,
  clientWindowsMax: 10_000,
  otpTriesMax: 5,
  otpTriesWindowMs: 180_000,
  otpTriesOfOneMax: 20, // of one that was sent, from all addresses together
  importBytesMax: 20 * 1024 * 1024 * 1024,
  importFilesMax: 1_000_000,
  importUploadsParallel: 16,
  exportsParallel: 4, // in one worker: each holds a copy of its databases on disk
  exportMs: 60 * 60_000,
  // --- SQL endpoints (pocketbase.md §1, §19)
  sqlConsoleBytesMax: 5_000,
  sqlRealParametersMax: 200,
  sqlConsoleRowsMax: 1_000,
  sqlTextCharactersMax: 1024 * 1024,
  sqlRowsMax: 100_000, // of one statement
  sqlResultBytesMax: 16 * 1024 * 1024, // of one statement
  sqlResponseBytesMax: 32 * 1024 * 1024,
  sqlBodyBytesMax: 16 * 1024 * 1024,
  sqlStatementMs: 5_000, // of a write: then its process is killed
  sqlReadMs: 10_000, // of a read: then its process is killed
  sqlReadProcessesMax: 3,
  sqlReadProcessesPerTenantMax: 2,
  sqlWriteProcessesMax: 6, // an interactive transaction has one to itself
  sqlProcessKibibytesMax: 640 * 1024, // RLIMIT_DATA: 250 MiB are Bun's own
  sqlProcessNice: 10,
  sqlStartMs: 10_000,
  sqlParentCheckMs: 1_000,
  sqlWaitingMax: 500,
  sqlWaitMsMax: 20_000,
  sqlIdleMs: 60_000,
  sqlRowsPerMessage: 1_000,
  sqlPieceCharacters: 64 * 1024,
  sqlTransactionBytesMax: 32 * 1024 * 1024, // by which one transaction may lengthen the WAL: its capture holds up the worker
  sqlWalLookMs: 50,
  // --- queries whose cost is not known (worker/statements/DESIGN.md)
  queryVisitsMax: 20_000, // estimated row visits of one statement on the main thread: about 2 ms
  queryVisitsMin: 500,
  querySlowMs: 10, // a statement on the main thread that took longer lowers its tenant's limit
  querySlowForgetMs: 30_000,
  queryCompileMs: 20,
  viewCompileMs: 500, // in a process, which has the lowest priority
  queryVisitsRefused: 2_000_000, // where it cannot run anywhere else
  queryRoundsMax: 64, // statements of one request that run elsewhere
  queryMs: 5_000, // of a list, all its statements together
  queryMsMin: 500, // of one that has waited for a process
  queryRuleMs: 5_000, // of the rules of a write, under its write lock
  queryPlanMs: 2_000,
  queryResultBytesMax: 64 * 1024 * 1024,
  queryVerdictMs: 5_000, // after which sizes of tables are looked at again
  queryVerdictsMax: 512, // per tenant
  sqlTransactionMs: 5_000, // an interactive transaction holds the tenant's write lock
  sqlStreamIdleMs: 10_000,
  sqlStreamsMax: 256, // per tenant
  sqlStoredTextsMax: 256, // per stream
  sqlRequestsMax: 256, // per pipeline
  sqlBatchStepsMax: 4_096,
  sqlParametersMax: 32_766,
  sqlTokensMax: 100, // per tenant
  sqlTokenNameCharactersMax: 100,
  // --- request logs of a tenant
  logQueueEntriesMax: 20_000,
  logQueueEntriesSoft: 5_000, // then they are written before the time is over
  logBatchEntriesMax: 1_000, // one commit, one turn
  logPackEntriesMin: 200, // fewer become rows at once
  logPackedEntriesCalm: 200_000, // some 4 MB; beyond it the oldest become rows whenever few come
  logPackedEntriesMax: 1_000_000, // beyond it they do also in busy times
  logFlushMs: 3_000,
  logUrlCharactersMax: 3_000,
  logHeaderCharactersMax: 2_000,
  logMethodCharactersMax: 50,
  logDetailsCharactersMax: 16 * 1024,
  // --- crons of a tenant
  cronSweepMs: 60_000,
  cronJobMsMax: 60 * 60_000,
  cronJobsParallel: 4,
  cronLookAheadDaysMax: 366 * 5,
  /** A due minute that is older is skipped. */
  cronLateMinutesMax: 60,
  // --- what a tenant takes along when it moves
  carriedValuesMax: 8,
  carriedValueCharactersMax: 4_096,
  stateEveryMs: 1_000, // one batch of changed values into the log
  stateBatchBytesMax: 1024 * 1024,
  stateBatchMsMax: 5, // of the main thread; the others are next
  stateReadMs: 2_000, // what a dead worker's log says of them; then they start anew
  // --- control wakes tenants that are due
  wakeSweepMs: 60_000,
  wakeSettleMs: 500, // after the first worker came
  /** The owner of a loaded tenant tells its next due time by itself within this. */
  wakeOwnerGraceMs: 90_000,
  wakesParallel: 16,
  wakesPerSweep: 10_000,
  /** Between tries for one tenant: doubled each time. */
  wakeRetryMsMax: 60 * 60_000,
  // --- backups of a tenant
  backupNameCharactersMax: 150,
  backupsListedMax: 1_000,
  backupUploadsMax: 2, // of one tenant at a time: each lies on the worker's disk first
  backupBytesMax: 20 * 1024 * 1024 * 1024,
  backupEntriesMax: 1_000_000,
  backupMs: 30 * 60_000,
  // --- mail and OAuth2
  mailQueueMax: 10_000,
  mailTenantQueueMax: 500,
  mailParallel: 16,
  mailTenantParallel: 2, // a dead server of one tenant leaves lanes to the others
  mailAttemptsMax: 6,
  mailRetryMsMin: 1_000,
  mailRetryFactor: 5,
  mailRetryMsMax: 5 * 60_000,
  mailConnectMs: 10_000,
  mailSendMs: 30_000,
  mailDrainMs: 3_000,
  mailAddressCharactersMax: 255,
  mailTemplateCharactersMax: 256 * 1024,
  mailValuesCharactersMax: 256 * 1024, // of all that placeholders bring in; what is more is left out
  mailTextCharactersMax: 128 * 1024, // of the HTML that the plain text is made from
  mailTextDepthMax: 100,
  platformMailsPerTenantHour: 100,
  platformMailsPerHour: 10_000,
  resendWaitMs: 2 * 60_000,
  throttleRowsMax: 10_000,
  otpsLiveMax: 9,
  authOriginsMax: 5,
  userAgentBytesMax: 200,
  oauth2RequestMs: 15_000,
  oauth2SignInMs: 30_000,
  oauth2AnswerBytesMax: 1024 * 1024,
  oauth2RedirectsMax: 3,
  oauth2AppleNamesMax: 1_000,
  oauth2AppleNameMs: 60_000,
  avatarBytesMax: 10 * 1024 * 1024,
  jwksSetsMax: 1_000,
  idTokenLeewaySeconds: 300,
  jwksFreshMs: 10 * 60_000,
  totpWindowSteps: 1, // a clock may be half a minute off
  totpTriesMax: 5,
  totpTriesWindowMs: 180_000,
  totpIssuerCharactersMax: 100,
  backupCodes: 10,
  mfaSecondsDefault: 600,
  passkeyOriginsMax: 10,
  passkeysPerRecordMax: 20,
  passkeyNameCharactersMax: 100,
  passkeyChallengeMs: 5 * 60_000,
  passkeyUsedChallengesMax: 10_000, // of one tenant, each kept until it expires
  passkeyBodyBytesMax: 64 * 1024,
  installerTokenSeconds: 30 * 60,
  // --- control
  leaseMs: 1_200,
  firstLeaseMs: 5_000, // from a registration to the first beat: a thread starts in between, on a machine that may be busy
  beatMs: 300,
  txnOperationsMax: 128,
  valueBytesMax: 1024 * 1024,
  watchHistoryMax: 10_000,
  watchHistoryRowsShare: 1 / 16, // or so many changes per row: who reads the whole state meanwhile must not fall behind
  watchSilentRevisionsMax: 1_000,
  watchQueueMax: 10_000,
  streamProgressMs: 5_000,
  controlRequestMs: 5_000,
  replicaAttemptMs: 600, // for the first sign of an answer, while there is another replica to ask
  leaderWaitMs: 2_500,
  forwardMs: 30_000,
  controlBodyBytesMax: 1024 * 1024,
  clockSkewMsMax: 5_000,
  clockDriftMsMax: 4_000, // a worker that drifts further leaves by itself, before control refuses its calls
  commandRetriesMax: 32,
  deathsAtOnce: 3,
  deathsWindowMs: 30_000,
  deathsShareMax: 0.2,
  deathIntervalMs: 1_000,
  livenessTickMs: 100,
  workerHealthMs: 500,
  storeProbeMs: 2_000,
  storeProbeFreshMs: 1_000,
  sealsParallel: 4,
  sealRetryMsMin: 100,
  sealRetryMsMax: 5_000,
  incarnationsPerBlock: 65_536,
  blockClaimsMax: 16,
  commandRetryMsMax: 50,
  watchRetryMs: 100,
  placeWaitMsMax: 2_000,
  resolvesWaitingMax: 50_000,
  tenantsPerTxn: 50,
  memberBodyBytesMax: 16 * 1024 * 1024,
  routeHistoryMax: 10_000,
  routesPerSlice: 500,
  routeStreamsMax: 10_000,
  tenantsPageDefault: 50,
  tenantsPageMax: 500,
  idempotencyKeyCharactersMax: 255,
  idempotencyKeepMs: 24 * 60 * 60_000,
  idempotencyAnswerCharactersMax: 256 * 1024, // of a tenant's request; a longer answer is known to have been given, not what it was
  idempotencySweep: 100, // old ones removed with each new one
  auditEntriesMax: 100_000,
  goneWorkerKeepMs: 24 * 60 * 60_000,
  housekeepingMs: 60_000,
  metadataParallel: 4,
  metadataKept: 3, // records of one tenant
  metadataSlice: 100, // tenants compared in one turn
  metadataPauseMs: 200,
  metadataRetryMs: 1_000,
  tombstoneKeepMs: 30 * 24 * 60 * 60_000,
  controlSnapshotEveryMs: 10 * 60_000,
  controlSnapshotsKept: 24,
  deadLogKeepMs: 60 * 60_000, // after the last tenant dropped it
  deadLogPauseMs: 60_000,
  deadLogsPerSweep: 16,
  restoreTenantsParallel: 16,
  restoreEpochMargin: 1_000_000, // above every epoch that is known
  restoreRevisionsPerBlock: 2 ** 32,
  ticketMs: 5 * 60_000,
  txnIdBytesMax: 256,
  txnRememberedMax: 10_000,
  txnRememberedCharactersMax: 16 * 1024 * 1024,
  rangePageMax: 1_000_000,
  raftEntryBytesMax: 4 * 1024 * 1024,
  raftRecordBytesMax: 64 * 1024 * 1024,
  raftRecordSplitBytes: 8 * 1024 * 1024,
  raftSegmentBytes: 16 * 1024 * 1024,
  raftSnapshotEvery: 10_000,
  raftSnapshotLogBytes: 32 * 1024 * 1024, // or so much log since the last one
  raftSnapshotStateShare: 0.5, // but no snapshot before the log has grown by this part of the last one
  raftSnapshotReadBytes: 512 * 1024, // of a snapshot's file in one turn
  raftKeepEntries: 2_000,
  raftKeepBytes: 16 * 1024 * 1024, // of those
  raftTickMs: 50,
  raftElectionTicks: 10,
  raftHeartbeatTicks: 1,
  raftMessageBytesMax: 1024 * 1024,
  raftInflightMessagesMax: 256,
  raftInflightBytesMax: 16 * 1024 * 1024,
  raftUncommittedBytesMax: 64 * 1024 * 1024,
  raftCommittedBytesMax: 4 * 1024 * 1024,
  raftPendingReadsMax: 10_000,
  raftPromoteLagMax: 1_000,
  raftSnapshotTicks: 600,
  etcdReadMs: 2_000, // per server
  etcdLeaseSeconds: 3,
  etcdNoteSeconds: 1_200,
  etcdCheckMs: 1_000,
  etcdRetryMs: 100,
  etcdFoundRows: 100, // of a restored state in one txn: below what etcd takes without its options
  etcdFoundCharacters: 512 * 1024,
  raftSnapshotWindowChunks: 8,
  raftFrameBytesMax: 64 * 1024 * 1024,
  raftLinkQueueBytesMax: 16 * 1024 * 1024,
  raftLinkPingMs: 500,
  raftLinkSilentMs: 2_000,
  raftDialMs: 2_000,
  raftDialMsMin: 20,
  raftDialMsMax: 1_000,
  raftDialPatienceMs: 500,
  raftPromoteRetryMs: 500,
  raftForwardsMax: 10_000,
  raftRefusalsToldMax: 1_000,
  raftSnapshotChunkRows: 500,
  raftSnapshotChunkCharacters: 256 * 1024,
  workerCallMs: 5_000,
  mainThreadStallMsMax: 10_000, // a worker whose main thread has not ticked for this long stops beating
  mainThreadTickMs: 50,
  releaseCallMs: 60_000,
  prewarmCallMs: 2 * 60_000, // of a source's flush and of a target's fetching; then the move goes on without
  releaseAttemptsMax: 5,
  releaseRetryMsMin: 50,
  releaseRetryMsMax: 1_000,
  transfersParallel: 32,
  transferWaitMsMax: 20_000,
  drainParallel: 4,
  drainRetryMs: 500,
  tenantIdleMsDefault: 5 * 60_000,
  tenantEvictMsDefault: 30 * 60_000,
  tenantRetainMsDefault: 7 * 24 * 60 * 60_000,
  tenantRetainMsMax: 365 * 24 * 60 * 60_000,
  lifeSweepMsMin: 100,
  lifeSweepMsMax: 60_000,
  lifeListsParallel: 8,
  evictionsPerSweep: 200,
  archivesParallel: 4,
  thawsBegunMax: 100, // transactions under way that requests for archived tenants began
  archiveObjectsParallel: 8, // of one tenant
  archiveLookMs: 1_000,
  archiveRetryMs: 60_000, // between two looks at a tenant whose objects are not there yet
  thawDays: 7, // how long the store keeps the readable copies, from which the objects are copied back
  purgesParallel: 2,
  pinForgottenMs: 60 * 60_000, // a pin whose branch was not made by then goes
  pinSweepMs: 60_000,
  detachWaitMs: 20_000, // of whoever asked for it
  branchCallMs: 25_000, // the parent's owner materialises and pins
  detachRetryMs: 60_000, // of a purge that waits for branches
  detachCallMs: 600_000, // one try; what was copied stays
  purgeRetryMs: 1_000,
  rebalanceMs: 10_000,
  rebalanceSpreadMin: 10, // tenants between the fullest and the emptiest worker
  rebalanceSpreadRatio: 0.2, // of the mean
  rebalanceMovesPerMinuteDefault: 30,
  workerMemoryBytesDefault: 4 * 1024 * 1024 * 1024,
  workerPressureRatio: 0.5, // memory above this share weighs in placement
  workerFullRatio: 0.9,
  workerFillRatio: 0.7, // what a wanted-workers figure plans for
  scaleCheckMs: 5_000,
  scaleWebhookMs: 5_000,
  scaleWebhookAttemptsMax: 5,
  operatorTokensMax: 1_000,
  operatorTokenNameCharactersMax: 64,
  auditPageDefault: 50,
  auditPageMax: 500,
  // --- gateway
  grantMs: 30_000,
  signedGrantsMax: 10_000,
  signedGrantCharactersMax: 512,
  routesMax: 1_000_000,
  routeWaitMsMax: 10_000,
  routeLifeMs: 5_000, // where no stream keeps the table current
  routeHedgeMs: 500,
  routeQuestionsMax: 20_000,
  routeCopyMs: 5_000,
  unknownTenantMs: 2_000,
  unknownTenantsMax: 5_000,
  coldTenantMs: 60_000, // an archived tenant that control does not fetch is not asked for again
  coldTenantsMax: 5_000,
  holdMsMax: 15_000,
  holdRequestsMax: 10_000,
  holdBodyBytesMax: 1024 * 1024,
  upstreamConnectMs: 3_000,
  upstreamHeadBytesMax: 64 * 1024,
  upstreamBodyTogetherBytesMax: 64 * 1024, // a longer answer streams
  headKeptCharactersMax: 4_096, // a longer head is read again when it comes again
  answerHeadsKeptMax: 1_000, // of workers, by their text
  headComparedBytesMax: 512, // a longer head is not compared with the last one of its connection
  sendTogetherBytesMax: 64 * 1024, // a head and a body of so many go out in one piece
  outgoingBytes: 128 * 1024, // where messages are put together
  sendQueueMax: 256, // messages of one turn of the event loop that go out together, at its end
  sendQueueBytesMax: 64 * 1024,
  sendBuffersKeptMax: 16, // of the size above, where the system takes bytes later
  upstreamIdleMs: 60_000,
  upstreamIdlePerWorkerMax: 512,
  upstreamOriginsMax: 10_000,
  urlCharactersMax: 16_384,
  hostCharactersMax: 262, // of a name and a port
  hostsReadMax: 10_000,
  headerBytesMax: 32 * 1024,
  headersMax: 200,
  clientConnectionsMax: 50_000, // of a thread
  clientBacklogMax: 4_096, // connections that wait to be taken
  clientHeadBytesMax: 56 * 1024, // an address and headers of the sizes above
  clientHeadMsMax: 12_000, // from its first byte, and from the connection's first moment
  clientIdleMsMax: 180_000, // between two requests: longer than proxies in front keep connections
  clientLingerMs: 1_000, // for who still sends while it is refused
  clientWatchMs: 100, // who waits no longer than this for an answer is not watched for leaving
  upstreamDoubtMs: 5_000, // without an answer for this long, control is asked whether the worker still has the tenant
  holdControlMsMax: 3_000,
  holdPauseMsMin: 25,
  holdPauseMsMax: 1_000,
  breakerFailuresMax: 3,
  breakerOpenMsMin: 250,
  breakerOpenMsMax: 5_000,
  breakersMax: 10_000,
  gatewayDrainMs: 5_000,
  rateBucketsMax: 100_000,
  tenantRequestsPerSecond: 20_000,
  clientRequestsPerSecond: 500,
  turnsMax: 20_000,
  turnsPerTenantMax: 2_000,
  turnQueueMax: 5_000,
  turnsKeptMax: 1_000, // of tenants without requests at the moment
  turnWaitMsMax: 10_000,
  bodyWaitMsMax: 30_000, // for a client's next bytes, plus what its bytes so far earn at this rate:
  bodyBytesPerSecondMin: 256,
  bodyEarnedMsMax: 5 * 60_000,
  readerBytesPerSecondMin: 16 * 1024, // what a client that reads an answer earns time at, beside bodyWaitMsMax
  tlsAsksPerSecond: 50,
  trustedProxiesMax: 100,
  dashboardFilesMax: 2_000,
  dashboardBytesMax: 64 * 1024 * 1024,
  socketBufferBytesMax: 16 * 1024 * 1024,
  // --- command line
  commandMs: 60_000,
  importMs: 3_600_000,
  // --- all-in-one
  controlRetryMsMax: 1_000,
  restartDelayMsMin: 50,
  restartDelayMsMax: 5_000,
  stopMsMax: 20_000,
  startMsMax: 30_000,
} as const;
