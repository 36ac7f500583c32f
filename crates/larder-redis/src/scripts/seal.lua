-- Ends a fill. KEYS: the fence, the captured tags, the late ones. ARGV[1]: how many were captured; ARGV[2]: how long the
-- records must live at least, in ms, or nothing for ever; then the captured nonces, and new ones for late tags without a record.
-- Returns nothing if a captured tag was renewed, else the fence and the late tags' nonces.
local captured = tonumber(ARGV[1])
local out = { redis.pcall('GET', KEYS[1]) }
if type(out[1]) ~= 'string' then out[1] = '' end
for i = 2, #KEYS do
  local key = KEYS[i]
  local there = redis.pcall('GET', key)
  if i - 1 <= captured then
    if there ~= ARGV[i + 1] then return false end
  elseif type(there) ~= 'string' or #there ~= 32 or string.find(there, '[^0-9a-f]') then
    there = ARGV[i + 1]
    redis.call('SET', key, there, 'PX', 1)
  end
  if ARGV[2] == '' then
    redis.call('PERSIST', key)
  else
    local left = redis.call('PTTL', key)
    if left >= 0 and left < tonumber(ARGV[2]) then redis.call('PEXPIRE', key, ARGV[2]) end
  end
  if i - 1 > captured then out[#out + 1] = there end
end
return out
