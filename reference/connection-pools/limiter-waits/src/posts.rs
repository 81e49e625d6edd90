//! The three endpoints that work with posts.

use axum::Json;
use axum::extract::Path;
use axum::extract::rejection::JsonRejection;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row};

use crate::db::connect_per_request;
use crate::error::ApiError;

/// The longest post, in characters. The column in `db/schema.sql` has the same limit.
const MAX_CONTENT: usize = 280;

/// A post, as it is stored.
#[derive(Serialize)]
pub struct Post {
    id: i64,
    user_id: i64,
    content: String,
    created_at: DateTime<Utc>,
}

impl FromRow<'_, PgRow> for Post {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            user_id: row.try_get("user_id")?,
            content: row.try_get("content")?,
            created_at: row.try_get("created_at")?,
        })
    }
}

/// A post in the feed: readers also want to know who wrote it.
#[derive(Serialize)]
pub struct FeedPost {
    #[serde(flatten)]
    post: Post,
    username: String,
}

impl FromRow<'_, PgRow> for FeedPost {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            post: Post::from_row(row)?,
            username: row.try_get("username")?,
        })
    }
}

/// The body of `POST /posts`.
#[derive(Deserialize)]
pub struct NewPost {
    user_id: i64,
    content: String,
}

/// `GET /feed`: the 20 newest posts of all users, newest first.
pub async fn feed() -> Result<Json<Vec<FeedPost>>, ApiError> {
    let db = connect_per_request().await?;
    let posts = sqlx::query_as(
        "SELECT posts.id, posts.user_id, posts.content, posts.created_at, users.username
         FROM posts
         JOIN users ON users.id = posts.user_id
         ORDER BY posts.created_at DESC
         LIMIT 20",
    )
    .fetch_all(&db)
    .await?;
    db.close().await;
    Ok(Json(posts))
}

/// `GET /users/{id}/posts`: the posts of one user, newest first.
///
/// When `id` is not a number, axum answers 400 and this function is not called.
pub async fn by_user(Path(user_id): Path<i64>) -> Result<Json<Vec<Post>>, ApiError> {
    let db = connect_per_request().await?;
    let posts = sqlx::query_as(
        "SELECT id, user_id, content, created_at
         FROM posts
         WHERE user_id = $1
         ORDER BY created_at DESC",
    )
    .bind(user_id)
    .fetch_all(&db)
    .await?;
    db.close().await;
    Ok(Json(posts))
}

/// `POST /posts`: stores a post and answers with it.
pub async fn create(
    body: Result<Json<NewPost>, JsonRejection>,
) -> Result<(StatusCode, Json<Post>), ApiError> {
    // Asking for the `Result` lets us answer 400 to every body that is not a `NewPost`.
    let Json(new_post) = body.map_err(|rejection| ApiError::BadRequest(rejection.body_text()))?;
    check_content(&new_post.content)?;

    let db = connect_per_request().await?;
    let post = sqlx::query_as(
        "INSERT INTO posts (user_id, content)
         VALUES ($1, $2)
         RETURNING id, user_id, content, created_at",
    )
    .bind(new_post.user_id)
    .bind(&new_post.content)
    .fetch_one(&db)
    .await
    .map_err(|error| match error.as_database_error() {
        Some(reason) if reason.is_foreign_key_violation() => {
            ApiError::BadRequest(format!("there is no user {}", new_post.user_id))
        }
        _ => ApiError::Database(error),
    })?;
    db.close().await;
    Ok((StatusCode::CREATED, Json(post)))
}

fn check_content(content: &str) -> Result<(), ApiError> {
    if content.is_empty() {
        return Err(ApiError::BadRequest("content is empty".to_owned()));
    }
    // `len()` would count bytes, and "é" has two of them.
    let length = content.chars().count();
    if length > MAX_CONTENT {
        let reason = format!("content has {length} characters, {MAX_CONTENT} at most are allowed");
        return Err(ApiError::BadRequest(reason));
    }
    // Rust strings may hold this character, Postgres text may not.
    if content.contains('\0') {
        return Err(ApiError::BadRequest(
            "content holds a NUL character".to_owned(),
        ));
    }
    Ok(())
}
