-- Gives an entry another expiry. ARGV[1]: now; ARGV[2]: the expiry as an entry's head writes it; ARGV[3]: the same in ms from
-- now, or nothing for ever. Returns 1 if there was one.
local start = redis.pcall('GETRANGE', KEYS[1], 0, 31)
if type(start) ~= 'string' or start == '' then return 0 end
local old = string.match(start, '^larder1 (%S+) ')
if old then
  if old ~= '-' and tonumber(old) <= tonumber(ARGV[1]) then return 0 end
elseif not string.find(start, '^-?%d+$') then
  return 0
end
if ARGV[3] ~= '' and tonumber(ARGV[3]) <= 0 then
  redis.call('UNLINK', KEYS[1])
elseif old then
  local rest = redis.call('GETRANGE', KEYS[1], 8 + #old, -1)
  redis.call('SET', KEYS[1], 'larder1 ' .. ARGV[2] .. rest)
end
if ARGV[3] == '' then
  redis.call('PERSIST', KEYS[1])
elseif tonumber(ARGV[3]) > 0 then
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
return 1
