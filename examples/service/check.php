<?php
// php check.php < account.json
declare(strict_types=1);

/** What the service answers about an account. */
function check(array $account): array
{
    $service = getenv('ACX_SERVICE') ?: 'http://127.0.0.1:8450';
    $token = trim(file_get_contents(getenv('ACX_TOKEN_FILE') ?: 'token'));
    $curl = curl_init("$service/v1/check");
    curl_setopt_array($curl, [
        CURLOPT_POST => true,
        CURLOPT_RETURNTRANSFER => true,
        CURLOPT_TIMEOUT => 10,
        CURLOPT_HTTPHEADER => ["Authorization: Bearer $token", 'Content-Type: application/json'],
        CURLOPT_POSTFIELDS => json_encode($account, JSON_THROW_ON_ERROR),
    ]);
    $body = curl_exec($curl);
    if ($body === false) {
        throw new RuntimeException(curl_error($curl));
    }
    $answer = json_decode($body, true, 64, JSON_THROW_ON_ERROR);
    if (curl_getinfo($curl, CURLINFO_RESPONSE_CODE) !== 200) {
        throw new RuntimeException("{$answer['title']}: {$answer['detail']}");
    }
    return $answer;
}

try {
    $account = json_decode(stream_get_contents(STDIN), true, 64, JSON_THROW_ON_ERROR);
    echo json_encode(check($account), JSON_THROW_ON_ERROR), "\n";
} catch (RuntimeException | JsonException $error) {
    fwrite(STDERR, $error->getMessage() . "\n");
    exit(1);
}
