// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 the tsc-offset maintainers
// Perfetto's trace processor reads a trace and answers queries: usage: node trace_processor.mjs DIRECTORY TRACE
//
// Standard input is a JSON object: packages, each with name and modules (name, sql) as --add-sql-package has them; and
// queries, a list of SQL. Each query's rows, as text, are a line of JSON on standard output.
//
// DIRECTORY has what trace_processor.py gets. It is made for a worker of a browser: that has no files, but asks for
// them.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import vm from 'node:vm';

// What one request may carry is 64 MiB
const PIECE = 1 << 25;
// Of WebAssembly's binary format
const MEMORY_SECTION = 5, MEMORY_OF_64_BITS = 4;

const [directory, trace] = process.argv.slice(2);
const file = (name) => join(directory, name);

function becomeWorker() {
	const { Module } = WebAssembly;

	globalThis.self = globalThis;
	globalThis.WorkerGlobalScope = class {};
	globalThis.location = pathToFileURL(file('engine_bundle.node.js'));
	globalThis.XMLHttpRequest = class {
		open(method, name) {
			this.name = name;
		}

		send() {
			this.response = readFileSync(file(this.name));
		}
	};
	// It tries a module with nothing but a memory of 64 bits to find out whether there are any; its own has 32
	WebAssembly.Module = function (bytes) {
		if (bytes.length < 100 && bytes[8] === MEMORY_SECTION && bytes[11] === MEMORY_OF_64_BITS)
			throw new WebAssembly.CompileError('there are none');
		return new Module(bytes);
	};
	console.log = console.warn = (line) => console.error(line);
}

async function start() {
	const port = { postMessage: (bytes) => engine.onRpcResponseBytes(bytes) };
	const { EngineBase } = await import(pathToFileURL(file('engine.mjs')));
	const engine = new (class extends EngineBase {
		rpcSendRequestBytes(data) {
			port.onmessage({ data });
		}
	})();

	vm.runInThisContext(readFileSync(file('engine_bundle.node.js'), 'utf8'));
	self.onmessage({ data: port });
	// It begins to work when all that waits has run
	await new Promise(setImmediate);
	return engine;
}

function rows(result) {
	const found = [];

	for (const row = result.iter({}); row.valid(); row.next())
		found.push(result.columns().map((name) => row.get(name)?.toString() ?? null));
	return found;
}

becomeWorker();
const engine = await start();
const bytes = new Uint8Array(readFileSync(trace));
for (let at = 0; at < bytes.length; at += PIECE)
	await engine.parse(bytes.subarray(at, at + PIECE));
await engine.notifyEof();
const { packages, queries } = JSON.parse(readFileSync(0, 'utf8'));
for (const sqlPackage of packages)
	await engine.registerSqlPackages(sqlPackage);
for (const query of queries)
	process.stdout.write(JSON.stringify(rows(await engine.query(query))) + '\n');
