-- Requests from a file that benchmarks/http_requests.py wrote, in random order; the summary as one line of JSON.

local requests = {}

function init(args)
  local file = assert(io.open(args[1], "rb"))
  while true do
    local size = file:read("*l")
    if not size then break end
    requests[#requests + 1] = file:read(tonumber(size))
  end
  file:close()
  math.randomseed(7)
end

function request()
  return requests[math.random(#requests)]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests": %d, "seconds": %.3f, "errors": %d, "p50_ms": %.3f, "p99_ms": %.3f, "max_ms": %.3f}\n',
    summary.requests, summary.duration / 1e6,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, latency.max / 1e3))
end
