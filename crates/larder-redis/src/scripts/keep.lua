-- Keeps a record of the namespace, or makes it. KEYS[1]: the record. ARGV[1]: what it must hold, or is to hold if it is made: a nonce,
-- a space, this server's incarnation; ARGV[2]: 'captured' or 'late'; ARGV[3]: how long it must live at least, in ms, or nothing for ever.
-- Returns what it holds, or nothing if it was captured and holds something else now.
local there = redis.pcall('GET', KEYS[1])
if ARGV[2] == 'captured' then
  if there ~= ARGV[1] then return false end
elseif type(there) ~= 'string' or #there ~= #ARGV[1] or string.sub(there, 33) ~= string.sub(ARGV[1], 33)
  or string.find(string.sub(there, 1, 32), '[^0-9a-f]') then
  there = ARGV[1]
  redis.call('SET', KEYS[1], there, 'PX', 1)
end
if ARGV[3] == '' then
  redis.call('PERSIST', KEYS[1])
else
  local left = redis.call('PTTL', KEYS[1])
  if left >= 0 and left < tonumber(ARGV[3]) then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end
end
return there
