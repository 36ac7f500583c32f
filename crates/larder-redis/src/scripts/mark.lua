-- Changes the lower half of the nonce in a record of the namespace, if there is one. KEYS[1]: the record. ARGV[1]: the new half, 16 digits;
-- ARGV[2]: what the nonce is followed by. Returns 1.
local there = redis.pcall('GET', KEYS[1])
if type(there) == 'string' and #there == 32 + #ARGV[2] and string.sub(there, 33) == ARGV[2] then
  redis.call('SET', KEYS[1], string.sub(there, 1, 16) .. ARGV[1] .. ARGV[2], 'KEEPTTL')
end
return 1
