//! How statements are run over sqlx: the same for all its databases, whose types differ in each word.

/// Writes `answer` and `fold` for the database of the module that it stands in, which has to have `Connection`, `Dialect`, `key` (a name as the
/// column takes it), `bind_names`, `insert_many`, `take`, and `name_of` and `whole_of` for what comes back.
macro_rules! answers {
    () => {
        async fn answer(
            connection: &mut Connection,
            statements: &Statements,
            ask: &Ask,
        ) -> Result<Answer, Driver> {
            let sql = |text: &String| sqlx::AssertSqlSafe(text.clone());
            let done = match ask {
                Ask::Read(names, None) => {
                    return rows(connection, statements.read::<Dialect>(names.len()), names)
                        .await
                        .map(Answer::Rows)
                }
                Ask::Read(names, Some(prefix)) => {
                    let text = read_with_outbox(statements, names.len());
                    let [first, end] = outbox::range(prefix);
                    let query = bind_names(sqlx::query(sqlx::AssertSqlSafe(text)), names);
                    let query = query.bind(key(&first)).bind(key(&end));
                    return named(query.fetch_all(connection).await?).map(Answer::Rows);
                }
                Ask::Scan(scan) => {
                    let query =
                        sqlx::query(sql(&statements.scan)).bind(key(&scan.first)).bind(key(&scan.after));
                    let rows = query.bind(key(&scan.end)).bind(scan.limit).fetch_all(connection).await?;
                    let listed = rows.iter().map(|row| {
                        let (name, whole) = (name_of(row, 0)?, whole_of(row, 3)?);
                        Ok(Listed { name, expires: row.try_get(1)?, written: row.try_get(2)?, whole })
                    });
                    return listed.collect::<Result<_, Driver>>().map(Answer::Listed);
                }
                Ask::Count => {
                    let count: i64 = sqlx::query_scalar(sql(&statements.count)).fetch_one(connection).await?;
                    return Ok(Answer::Number(u64::try_from(count).unwrap_or(0)));
                }
                Ask::Take(names) => return take(connection, statements, names).await.map(Answer::Rows),
                Ask::Fold(notes) => return fold(connection, statements, notes).await.map(Answer::Number),
                Ask::UpsertMany(rows) => insert_many(connection, statements, rows).await?,
                Ask::Insert(row) | Ask::Upsert(row) => {
                    let text =
                        if matches!(ask, Ask::Insert(_)) { &statements.insert } else { &statements.upsert };
                    sqlx::query(sql(text))
                        .bind(key(&row.name))
                        .bind(&row.value[..])
                        .bind(row.expires)
                        .bind(row.written)
                        .bind(row.whole.as_deref().map(str::as_bytes))
                        .execute(connection)
                        .await?
                }
                Ask::Swap(row, old) => {
                    sqlx::query(sql(&statements.swap))
                        .bind(&row.value[..])
                        .bind(row.expires)
                        .bind(row.written)
                        .bind(key(&row.name))
                        .bind(&old[..])
                        .execute(connection)
                        .await?
                }
                Ask::Delete(name) => {
                    sqlx::query(sql(&statements.delete)).bind(key(name)).execute(connection).await?
                }
                Ask::DeleteIf(name, old) => {
                    let query = sqlx::query(sql(&statements.delete_if)).bind(key(name)).bind(&old[..]);
                    query.execute(connection).await?
                }
                Ask::Sweep(prefix) => {
                    let mut query = sqlx::query(sql(&statements.sweep));
                    for name in &crate::sweep_range(prefix) {
                        query = query.bind(key(name));
                    }
                    query.execute(connection).await?
                }
                Ask::Expired(now) => {
                    sqlx::query(sql(&statements.expired)).bind(now).execute(connection).await?
                }
                Ask::Oldest(most) => {
                    sqlx::query(sql(&statements.oldest)).bind(most).execute(connection).await?
                }
            };
            Ok(Answer::Number(done.rows_affected()))
        }

        /// Rows of names and values.
        async fn rows(
            connection: &mut Connection,
            text: std::sync::Arc<str>,
            names: &[String],
        ) -> Result<Vec<(String, Bytes)>, Driver> {
            named(bind_names(sqlx::query(sqlx::AssertSqlSafe(text)), names).fetch_all(connection).await?)
        }

        fn named(rows: Vec<DriverRow>) -> Result<Vec<(String, Bytes)>, Driver> {
            rows.iter().map(|row| Ok((name_of(row, 0)?, row.try_get::<Vec<u8>, _>(1)?.into()))).collect()
        }

        /// See `outbox`: how many notes it was that stood there.
        async fn fold(
            connection: &mut Connection,
            statements: &Statements,
            names: &[String],
        ) -> Result<u64, Driver> {
            let mut transaction = connection.begin().await?;
            let there = rows(&mut transaction, statements.lock::<Dialect>(names.len()), names).await?;
            if there.is_empty() {
                return transaction.rollback().await.map(|()| 0);
            }
            let notes = outbox::Notes::of(there);
            let masks = notes.masks();
            let records: Vec<String> = masks.keys().map(|&record| record.to_owned()).collect();
            let locked = rows(&mut transaction, statements.lock::<Dialect>(records.len()), &records).await?;
            for (record, value) in locked {
                let mask = masks.get(record.as_str()).copied().unwrap_or_default();
                // What can't be read is a miss, and stays one.
                let Some(value) = outbox::masked_value(&value, mask) else { continue };
                let query = sqlx::query(sqlx::AssertSqlSafe(statements.put_value.clone()));
                query.bind(&value[..]).bind(key(&record)).execute(&mut *transaction).await?;
            }
            let names = notes.names();
            let text = statements.delete_many::<Dialect>(names.len());
            bind_names(sqlx::query(sqlx::AssertSqlSafe(text)), &names).execute(&mut *transaction).await?;
            transaction.commit().await?;
            Ok(names.len() as u64)
        }
    };
}
pub(crate) use answers;
